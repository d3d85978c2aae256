"""The GraphQL API, the only place that knows strawberry and the transports: it translates and decides nothing."""
