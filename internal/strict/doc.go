// Package strict reads the YAML (and so JSON) files of this project without
// forgiving anything: every key must be known, every value must be of the right
// kind, and every error names file, line and column and says what is allowed.
//
// A file is parsed into a tree of [Node] values. A map is read through
// [Node.Fields], which remembers the keys that were asked for, so that
// [Fields.Done] can refuse the rest and propose the nearest right spelling.
//
// What makes YAML dangerous or surprising is refused: anchors, aliases, tags,
// directives, merge keys, complex keys, several documents in one file, duplicate
// keys, numbers that are not plain decimal ones, deep nesting, files above
// [MaxBytes], and more words and signs than a file that a person wrote has.
package strict
