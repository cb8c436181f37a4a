"""The storm's clients: they submit, repeat, disconnect, cancel, poll, are granted credits; all recorded."""

import asyncio
import random
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from ops.storm.accounts import Account, Accounts
from ops.storm.client import LEAVINGS, NONE, Answer, Client
from ops.storm.engine import VOICE
from ops.storm.history import History
from ops.storm.lateness import Lateness

_SUBMITTERS, _POLLERS = 24, 4
_GRANT_CREDITS = 100
_GRANT_EACH_S = 0.2
_PAUSE_S = 0.1  # after a refusal
_RETRY_S = 0.2  # after a 5xx, or no response
_TRIES = 20
_POLLS = 12
_MEMORY = 500  # of each kind: jobs to poll, keys to reuse
_END_S = 30.0
_HOT = 1 / 3
_ACTS = {"plain": 44, "keyed": 40, "twice": 6, "again": 4, "hang_up": 5, "speak": 5, "misuse": 1, "look": 2}
_ORDERS = {"quick": 90, "slow": 5, "break": 3, "refuse": 2}
_DEFINITE = range(400, 500)
_SPEECH = "/api/v1/tts/generate"
_WAV = {"format": "wav"}  # the only one the engine makes
_PATHS = ("/v1/tts", _SPEECH)


class Load:
    """Clients in a thread of their own, until `stop`."""

    def __init__(self, url: str, accounts: Accounts, history: History, life: str, lateness: Lateness) -> None:
        self.acks = 0
        self._lateness = lateness
        self._url = url
        self._accounts = accounts
        self._history = history
        self._life = life
        self._stopping = threading.Event()
        self._made = 0
        self._to_poll: deque[str] = deque(maxlen=_MEMORY)
        self._keys: deque[tuple[Account, str, str]] = deque(maxlen=_MEMORY)
        self._done: deque[str] = deque(maxlen=_MEMORY)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def is_alive(self) -> bool:
        """False if the clients have crashed: a bug of the storm's own."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Start nothing more; return when everything under way has ended."""
        self._stopping.set()
        self._thread.join(_END_S)

    async def _run(self) -> None:
        clients = [self._for_ever(self._submitter) for _ in range(_SUBMITTERS)]
        clients += [self._for_ever(self._poller) for _ in range(_POLLERS)]
        await asyncio.gather(*clients, self._for_ever(self._treasurer), self._for_ever(self._refunder))

    async def _for_ever(self, act: Callable[[Client], Awaitable[None]]) -> None:
        client = Client(self._url, self._lateness)
        while not self._stopping.is_set():
            await act(client)
        client.close()

    async def _submitter(self, client: Client) -> None:
        account = self._somebody()
        (act,) = random.choices(list(_ACTS), list(_ACTS.values()))
        text = self._new_text()
        key = (
            f"key {text}" if act in ("keyed", "twice") or (act == "hang_up" and random.random() < 0.5) else ""
        )
        match act:
            case "look":
                await self._read_balance(client, account)
            case "again" if self._keys:
                await self._submit(client, *random.choice(self._keys))
            case "misuse" if self._keys:
                owner, _, used = random.choice(self._keys)
                await self._submit(client, owner, text, used)
            case "hang_up":
                self._history.add("unknown", "submit", of=self._invoke(account, text, key))
                await self._hang_up(client, account, text, key)
                if key:
                    await self._until_known(client, account, text, key)
            case "twice":
                other = Client(self._url, self._lateness)
                await asyncio.gather(*(self._until_known(c, account, text, key) for c in (client, other)))
                other.close()
            case "speak":
                await self._speak(client, account, text)
            case "keyed":
                await self._until_known(client, account, text, key)
            case _:
                await self._submit(client, account, text, "")

    def _somebody(self) -> Account:
        callers = self._accounts.callers
        return callers[0] if random.random() < _HOT else random.choice(callers)

    def _new_text(self) -> str:
        self._made += 1
        (order,) = random.choices(list(_ORDERS), list(_ORDERS.values()))
        return f"storm {self._life} {self._made} {order}"

    async def _until_known(self, client: Client, account: Account, text: str, key: str) -> None:
        """Like a client with retries: the same key until there is a response."""
        for _ in range(_TRIES):
            answer = await self._submit(client, account, text, key)
            if answer.http == 200:
                self._keys.append((account, text, key))
            if answer.http == 200 or answer.http in _DEFINITE or self._stopping.is_set():
                return
            await asyncio.sleep(random.uniform(0, _RETRY_S))

    async def _submit(self, client: Client, account: Account, text: str, key: str) -> Answer:
        of = self._invoke(account, text, key)
        answer = await client.ask("POST", "/v1/tts", key=account.key, body=_body(text), idempotency=key)
        if answer.http != 200:
            self._ended("submit", of, answer)
            await asyncio.sleep(_PAUSE_S if answer.http in (402, 429) else _RETRY_S)
            return answer
        job, said = answer.body["job_id"], answer.body["message"]
        self._history.add("ok", "submit", of=of, job=job, said=said, replayed=answer.replayed, http=200)
        self.acks += not answer.replayed
        chance = random.random()
        if chance < 0.06:
            await self._cancel(client, account, job)
        if chance < 0.25:
            self._to_poll.append(job)
        return answer

    async def _hang_up(self, client: Client, account: Account, text: str, key: str) -> None:
        path = "/v1/tts" if key else random.choice(_PATHS)  # a key is for one route
        body = _body(text) if key else _body(text) | _WAV
        how = random.choice(LEAVINGS)
        await client.hang_up(path, key=account.key, body=body, idempotency=key, how=how)

    async def _speak(self, client: Client, account: Account, text: str) -> None:
        """Request speech in the response. A refusal may come after the job: nothing is concluded from it."""
        of = self._history.add("invoke", "speak", owner=account.id, text=text)
        answer = await client.ask("POST", _SPEECH, key=account.key, body=_body(text) | _WAV, is_speech=True)
        self._history.add("unknown", "speak", of=of, http=answer.http)
        if answer.http != 200:
            await asyncio.sleep(_PAUSE_S)

    def _invoke(self, account: Account, text: str, key: str) -> int:
        return self._history.add("invoke", "submit", owner=account.id, text=text, key=key)

    async def _cancel(self, client: Client, account: Account, job: str) -> None:
        if random.random() < 0.5:
            await asyncio.sleep(random.uniform(0, 1))
        of = self._history.add("invoke", "cancel", job=job)
        answer = await client.ask("DELETE", f"/v1/jobs/{job}", key=account.key)
        self._ended("cancel", of, answer)

    async def _poller(self, client: Client) -> None:
        if not self._to_poll:
            await asyncio.sleep(0.05)
            return
        job = random.choice(self._to_poll)
        for _ in range(_POLLS):
            since = self._history.next
            answer = await client.ask("GET", f"/tts/status/{job}", key="")
            if answer.http in (200, 404, 410):
                said = answer.body.get("status", "") if answer.http == 200 else "gone"
                self._history.add("saw", "status", job=job, since=since, said=said, http=answer.http)
                if said == "completed":
                    self._done.append(job)
                if said in ("completed", "failed", "gone"):
                    return
            if self._stopping.is_set():
                return
            await asyncio.sleep(random.uniform(0.02, 0.4))

    async def _read_balance(self, client: Client, account: Account) -> None:
        since = self._history.next
        answer = await client.ask("GET", f"/api/admin/users/{account.id}", key=self._accounts.admin)
        if answer.http == 200:
            self._history.add("saw", "balance", owner=account.id, since=since, balance=_balance(answer))

    async def _treasurer(self, client: Client) -> None:
        """Grant credits to each account in turn; each grant until it is known, a tenth of them twice."""
        callers = self._accounts.callers
        for account in (*callers, callers[0]):  # the busiest one twice: it still runs out now and then
            if self._stopping.is_set():
                return
            reason = f"grant {self._life} {self._history.next}"
            body = {"account": account.id, "amount": _GRANT_CREDITS, "reason": reason}
            for _ in range(_TRIES):
                of = self._history.add(
                    "invoke", "grant", owner=account.id, text=reason, amount=_GRANT_CREDITS
                )
                path = "/api/admin/grants"
                answer = await client.ask(
                    "POST", path, key=self._accounts.admin, body=body, idempotency=reason
                )
                self._ended("grant", of, answer)
                is_known = answer.http in _DEFINITE or (answer.http == 200 and random.random() < 0.9)
                if is_known or self._stopping.is_set():
                    break
                await asyncio.sleep(0.1)
            await asyncio.sleep(_GRANT_EACH_S)

    async def _refunder(self, client: Client) -> None:
        await asyncio.sleep(random.uniform(0.2, 1))
        if not self._done:
            return
        job, path = random.choice(self._done), "/api/admin/refunds"
        for _ in range(random.choice((1, 1, 2))):
            of = self._history.add("invoke", "refund", job=job)
            body = {"job": job, "reason": "storm"}
            answer = await client.ask("POST", path, key=self._accounts.admin, body=body)
            self._ended("refund", of, answer)

    def _ended(self, op: str, of: int, answer: Answer) -> None:
        """Record the outcome: a refusal is definite; a 5xx, or no response, is not."""
        kind = "ok" if answer.http == 200 else "fail" if answer.http in _DEFINITE else "unknown"
        more: dict[str, Any] = {"http": answer.http}
        if kind == "ok" and op in ("grant", "refund"):
            more |= {"said": answer.body["code"], "replayed": answer.replayed, "balance": _balance(answer)}
        elif answer is not NONE and kind != "ok":
            more["said"] = _code(answer)
        self._history.add(kind, op, of=of, **more)


def _body(text: str) -> dict[str, str]:
    return {"text": text, "voice": VOICE}


def _balance(answer: Answer) -> tuple[int, int, int]:
    return answer.body["free"], answer.body["paid"], answer.body["held"]


def _code(answer: Answer) -> str:
    detail = answer.body.get("detail") if isinstance(answer.body, dict) else None
    return str(detail.get("error", "")) if isinstance(detail, dict) else ""
