"""Orders from tills and shops, with their lines. Unique by program, channel and order number.

Says `purchases.recorded.v1`. Needs members. Points for a purchase are given above, in earning.
"""
