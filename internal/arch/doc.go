// Package arch holds the project's rules of structure as tests: which package may import which and why, what trusted
// code must not touch, and that every package states its trust. It contains no other code.
//
// A rule that turns out wrong is changed here, with its reason, in the commit that needs it.
//
// Trust: either
package arch
