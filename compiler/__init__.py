"""From tensor programs to timed programs: front ends, dialects, passes, scheduling, emission."""
