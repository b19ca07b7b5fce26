// Package govtest is a network's governance in one process for tests: organisations with keys, a store, and the
// transactions of members, one after the other, each of which an audit can repeat.
//
// Trust: host
package govtest
