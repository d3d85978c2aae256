"""engage: the member-engagement back end."""

__version__ = "0.1.0"
