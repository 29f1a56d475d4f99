"""The responses of actions that confirm what happened in a sentence."""

from pydantic import BaseModel


class Detail(BaseModel):
    """The confirmation of an action."""

    detail: str


class Status(BaseModel):
    """The confirmation of an action, under the other name that clients know."""

    status: str
