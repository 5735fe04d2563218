//! What every backend must do: one suite per port. Each rule is a plain function over the port; a macro per port makes
//! one named test of each.
