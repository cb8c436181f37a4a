"""The texts of mails. With an empty `public_url` a mail names the page instead of a link."""

from urllib.parse import quote

from app.domain.accounts.mail import Mail


def reset_mail(to: str, token: str, public_url: str) -> Mail:
    """A mail with a link for choosing a new password."""
    text = (
        "Somebody, probably you, asked for a new password for your CodeVoice account.\n\n"
        f"Choose it here:\n\n{link(public_url, '/reset/confirm', token)}\n\n"
        f"Your token, good once and for an hour:\n\n{token}\n\n"
        f'A program sends it with the new password, as {{"token": …, "password": …}}, to\n'
        f"POST {public_url}/api/auth/password/reset/confirm\n\n"
        "If it was not you, you need not do anything: your password stays as it is.\n"
    )
    return Mail(to=to, subject="Your new CodeVoice password", text=text)


def verification_mail(to: str, token: str, public_url: str) -> Mail:
    """A mail with a link that verifies the address."""
    text = (
        "Somebody, probably you, opened a CodeVoice account with this address.\n\n"
        f"Confirm that it is yours, and get your free credits:\n\n{link(public_url, '/verify', token)}\n\n"
        f"Your token, good for a week:\n\n{token}\n\n"
        f'A program sends it, as {{"token": …}}, to\nPOST {public_url}/api/auth/verify\n\n'
        "If it was not you, do not follow the link.\n"
    )
    return Mail(to=to, subject="Confirm your address for CodeVoice", text=text)


def link(public_url: str, page: str, token: str) -> str:
    """The page's URL with the token; without a public URL, the page's name."""
    return f"{public_url}{page}?token={quote(token, safe='')}" if public_url else f"the page {page}"
