// Package arch holds the rules of the house as tests: who may import whom and why, what trusted
// code must not touch, and that every package says whom it trusts. It contains no other code.
//
// A rule that turns out wrong is changed here, with its reason, in the commit that needs it.
//
// Trust: either
package arch
