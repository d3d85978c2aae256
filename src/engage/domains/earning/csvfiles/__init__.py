"""CSV files of any kind of row: read, checked and worked off by a job, batch by batch.

`lines` reads a file, `records` takes its rows apart, `columns` finds what they hold, `texts` reads values, `counting`
counts rows, `batches` checks some at a time, `working` is the job that takes batch after batch, `tally` its sums;
`asking` stores a file and asks for the job, `here` runs it in this process, `rejects` writes what was not taken.
"""
