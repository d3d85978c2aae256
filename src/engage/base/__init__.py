"""What every part of engage stands on: settings, clock, ids, actor, errors, database, paging, texts."""
