"""As `shared.secrets.redaction` has them."""

from shared.secrets.redaction import Redactor, bind_redactor

__all__ = ["Redactor", "bind_redactor"]
