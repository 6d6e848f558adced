package report

import (
	"strings"
	"sync"
	"unicode"

	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	stdfont "golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
)

// regular and bold return the figure's font at a size.
func regular(size vg.Length) font.Face { return sans()[0].at(size) }
func bold(size vg.Length) font.Face    { return sans()[1].at(size) }

type typeface font.Face

func (t typeface) at(size vg.Length) font.Face {
	t.Font.Size = size
	return font.Face(t)
}

var sans = sync.OnceValue(func() [2]typeface {
	parse := func(ttf []byte, weight stdfont.Weight) typeface {
		f, err := opentype.Parse(ttf)
		if err != nil {
			panic("report: an embedded font is broken: " + err.Error())
		}
		return typeface{Font: font.Font{Typeface: "Liberation", Variant: "Sans", Weight: weight}, Face: f}
	}
	return [2]typeface{
		parse(liberationsansregular.TTF, stdfont.WeightNormal),
		parse(liberationsansbold.TTF, stdfont.WeightBold),
	}
})

func width(f font.Face, s string) vg.Length { return f.Width(s) }

// fit returns s as printable text no wider than room, shortened with an
// ellipsis where needed.
func fit(f font.Face, s string, room vg.Length) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.TrimSpace(s))
	if width(f, s) <= room {
		return s
	}
	runes := []rune(s)
	n := min(len(runes), 400) // more never fit
	for n > 0 && width(f, string(runes[:n])+"…") > room {
		n--
	}
	return strings.TrimSpace(string(runes[:n])) + "…"
}
