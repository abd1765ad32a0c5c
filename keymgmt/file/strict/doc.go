// Package strict reads YAML in which every key is known and every value has
// one form, and reports all that is wrong at once, each with its line and
// column and what is accepted. Scalars are taken as they are written: 1234 and
// 12e4 are what the file says, not numbers.
//
// A document that holds keys is opened with Secret: no octet of it reaches a
// Problem, neither from a value nor from a mistyped key nor from a line.
// Anchors, aliases, tags, merge keys and a second document are refused: nothing
// that linkseal reads needs them. So are block scalars, but by who asks for one
// (Block): cloud-init's files embed others.
package strict
