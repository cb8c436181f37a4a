"""SQLAlchemy models of all tables: for cold paths, while money and jobs go through SQL functions."""

from db.postgres.models.accounts import Account as Account
from db.postgres.models.accounts import ApiKey as ApiKey
from db.postgres.models.accounts import EndedSession as EndedSession
from db.postgres.models.accounts import Invite as Invite
from db.postgres.models.accounts import PasswordReset as PasswordReset
from db.postgres.models.accounts import Plan as Plan
from db.postgres.models.base import Base as Base
from db.postgres.models.jobs import BrokenStream as BrokenStream
from db.postgres.models.jobs import Correction as Correction
from db.postgres.models.jobs import Engine as Engine
from db.postgres.models.jobs import ExpectedStore as ExpectedStore
from db.postgres.models.jobs import Idempotency as Idempotency
from db.postgres.models.jobs import Job as Job
from db.postgres.models.jobs import LostWorker as LostWorker
from db.postgres.models.jobs import Stored as Stored
from db.postgres.models.ledger import BALANCE as BALANCE
from db.postgres.models.ledger import PRICE_NOW as PRICE_NOW
from db.postgres.models.ledger import AdminAct as AdminAct
from db.postgres.models.ledger import Checkpoint as Checkpoint
from db.postgres.models.ledger import Price as Price
from db.postgres.models.ledger import Transfer as Transfer
from db.postgres.models.ledger import Wallet as Wallet
