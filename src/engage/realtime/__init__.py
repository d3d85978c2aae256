"""Live changes: the event log, stream heads, the hub that fans out, and the bell between processes.

The database is the truth and Redis only rings: an event is a row written in the transaction of its cause, with a
position in its stream that has no gaps. A ring that is lost is healed from the rows.
"""
