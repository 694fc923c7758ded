"""What a history of intervals proves about limits: pure functions over int64 columns, one module a way of counting.

Every effect lies somewhere in its closed interval, so sorted effects lie between the sorted starts and the sorted ends
of their scope, each sorted by itself. An upper bound is broken where no placement keeps it, a lower one where the
largest possible count leaves room. Windows and intervals handed in here already have the slack for the target's clock
taken off (upper) or put on (lower), see `slack`.
"""
