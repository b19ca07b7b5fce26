package constitution

// What tests of this package see of its inside.

type Core = core
