"""engage: the member-engagement back end."""
