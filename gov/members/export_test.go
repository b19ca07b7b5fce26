package members

// What tests of this package see of its inside.

const MaxPending = maxPending
