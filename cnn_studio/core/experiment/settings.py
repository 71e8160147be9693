"""What every group of settings has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen, refuses unknown names, so that a typing error in a file is told and not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
