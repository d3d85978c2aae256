"""What engage is about, in layers: a call goes only downwards, and what happened goes up as an event."""
