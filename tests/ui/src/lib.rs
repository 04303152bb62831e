//! Programs that use the macros: those in `pass/` are built and run, those in `fail/` must fail as the `.stderr` beside them says.
