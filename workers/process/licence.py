"""Licences an operator must agree to before an engine starts; and the settings that prevent downloads."""

from collections.abc import Mapping, MutableMapping

from db.settings import SettingsError

NON_COMMERCIAL = "non-commercial"
XTTS_TERMS = (
    "XTTS's weights are under the Coqui Public Model License: the model, and all it speaks, may be used for"
    " NON-COMMERCIAL purposes only; its speech may not be sold, for credits neither"
)


def require(engine: str, *, declared: str, environ: Mapping[str, str]) -> None:
    """Return if the operator may run `engine`; else raise SettingsError: the terms, and how to agree."""
    if engine != "xtts":
        return
    if declared != NON_COMMERCIAL or environ.get("COQUI_TOS_AGREED") != "1":
        raise SettingsError(
            f"{XTTS_TERMS}. If that is your use, set COQUI_TOS_AGREED=1 and"
            f" CODEVOICE_XTTS_LICENCE={NON_COMMERCIAL}; without both the engine does not start"
        )


def stay_offline(environ: MutableMapping[str, str]) -> None:
    """Stop libraries from fetching weights or reporting use: an engine finds all it needs in a folder, or
    fails.
    """
    environ.update(
        HF_HUB_OFFLINE="1",
        TRANSFORMERS_OFFLINE="1",
        HF_DATASETS_OFFLINE="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        DO_NOT_TRACK="1",
    )
