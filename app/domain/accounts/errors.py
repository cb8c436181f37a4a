"""Domain errors about accounts: sign-up, passwords, mail, administrators."""

from app.domain.domain_error import DomainError


class RegistrationClosed(DomainError):
    """The operator does not accept sign-ups."""

    status, code = 403, "registration_closed"


class InviteRequired(DomainError):
    """Sign-up needs an invitation."""

    status, code = 403, "invite_required"


class InvalidInvite(DomainError):
    """The invitation is unknown, used up, expired or revoked."""

    status, code = 403, "invalid_invite"

    def __init__(self) -> None:
        message = "This invitation was used up, has expired, or is none. Ask the operator for another."
        super().__init__(message, field="invite")


class InvalidReset(DomainError):
    """The reset token is unknown, used or expired."""

    status, code = 403, "invalid_reset_token"

    def __init__(self) -> None:
        super().__init__("This link is invalid, was used, or has expired. Ask for a new one.")


class InvalidVerification(DomainError):
    """The verification token is invalid or expired."""

    status, code = 403, "invalid_verification_token"

    def __init__(self) -> None:
        super().__init__("This link is invalid or has expired. Log in and have another one sent.")


class EmailTaken(DomainError):
    """There is an account with this address."""

    status, code = 409, "email_taken"


class TooManyKeys(DomainError):
    """The account has as many keys as allowed."""

    status, code = 409, "too_many_keys"


class MailNotSetUp(DomainError):
    """The operator has configured no mail."""

    status, code = 409, "mail_not_set_up"

    def __init__(self) -> None:
        super().__init__("This server cannot send mail; ask your operator.")


class NothingToVerify(DomainError):
    """The address is verified already."""

    status, code = 409, "nothing_to_verify"

    def __init__(self) -> None:
        super().__init__("This account's e-mail address is verified already, or it has none.")


class LastAdministrator(DomainError):
    """The operation would leave no administrator."""

    status, code = 409, "last_administrator"

    def __init__(self) -> None:
        super().__init__("This is the only administrator that can act. Make another one first.")


class OwnAccount(DomainError):
    """Administrators cannot do this to their own account."""

    status, code = 409, "own_account"

    def __init__(self) -> None:
        super().__init__("You cannot suspend or close the account you are logged in with.")
