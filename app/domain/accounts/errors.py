"""Refusals that concern accounts: sign-up, passwords, mail, administrators."""

from app.domain.domain_error import DomainError


class RegistrationClosed(DomainError):
    status, code = 403, "registration_closed"


class InviteRequired(DomainError):
    status, code = 403, "invite_required"


class InvalidInvite(DomainError):
    status, code = 403, "invalid_invite"

    def __init__(self) -> None:
        message = "This invitation was used up, has expired, or is none. Ask the operator for another."
        super().__init__(message, field="invite")


class InvalidReset(DomainError):
    status, code = 403, "invalid_reset_token"

    def __init__(self) -> None:
        super().__init__("This link is invalid, was used, or has expired. Ask for a new one.")


class InvalidVerification(DomainError):
    status, code = 403, "invalid_verification_token"

    def __init__(self) -> None:
        super().__init__("This link is invalid or has expired. Log in and have another one sent.")


class EmailTaken(DomainError):
    status, code = 409, "email_taken"


class TooManyKeys(DomainError):
    status, code = 409, "too_many_keys"


class MailNotSetUp(DomainError):
    status, code = 409, "mail_not_set_up"

    def __init__(self) -> None:
        super().__init__("This server cannot send mail; ask your operator.")


class NothingToVerify(DomainError):
    status, code = 409, "nothing_to_verify"

    def __init__(self) -> None:
        super().__init__("This account's e-mail address is verified already, or it has none.")


class LastAdministrator(DomainError):
    status, code = 409, "last_administrator"

    def __init__(self) -> None:
        super().__init__("This is the only administrator that can act. Make another one first.")


class OwnAccount(DomainError):
    status, code = 409, "own_account"

    def __init__(self) -> None:
        super().__init__("You cannot suspend or close the account you are logged in with.")
