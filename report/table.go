package report

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"
)

// A Table is text in aligned columns, for a terminal.
type Table struct {
	align string // a letter for each column: l for left, r for right
	rows  [][]string
}

// NewTable returns a table with a header row. Align has a letter for each
// column, l for left or r for right.
func NewTable(align string, header ...string) *Table {
	t := &Table{align: align}
	t.Row(header...)
	return t
}

// Row adds a row. Cells that are left out are empty.
func (t *Table) Row(cells ...string) {
	row := make([]string, len(t.align))
	copy(row, cells)
	t.rows = append(t.rows, row)
}

// Write writes the table, two spaces between columns and none at the end of a
// line.
func (t *Table) Write(w io.Writer) error {
	widths := make([]int, len(t.align))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	b := bufio.NewWriter(w)
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if t.align[i] == 'r' {
				cell = space + cell
			} else {
				cell += space
			}
			line.WriteString(cell)
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
	return b.Flush()
}
