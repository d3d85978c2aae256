"""The unified profile: one member whatever the channel, read only, over what every domain publishes."""
