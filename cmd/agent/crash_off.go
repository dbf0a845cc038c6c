//go:build !crashpoint

package main

import "github.com/tealops/teal/internal/reconcile"

// crashable is the crash button of end-to-end tests; the product has none.
func crashable(e reconcile.Edges) reconcile.Edges { return e }
