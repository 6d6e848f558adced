package predictor

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/efficientnas/nas/cost"
)

const docFile = "../docs/predictors.md"

// TestDocs compares the tables of docs/predictors.md with the features, the
// embedded predictor and its records. Definitions and reasons of features are
// written by hand, the other columns are not.
func TestDocs(t *testing.T) {
	data, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	old := string(data)
	p, err := Imagenet()
	if err != nil {
		t.Fatal(err)
	}
	records := imagenetRecords(t)
	if p.Records() != len(records) {
		t.Fatalf("the predictor has %d records, the file %d: TestImagenetIsReproduced says more", p.Records(), len(records))
	}

	said := pick(records, measured(records))
	text := old
	for name, table := range map[string]func(old string) string{
		"features":   func(old string) string { return featureTable(t, p, old) },
		"hyper":      func(string) string { return hyperTable(t, p) },
		"sources":    func(string) string { return sourceTable(t, records) },
		"recipes":    func(string) string { return recipeTable(p, records) },
		"validation": func(string) string { return validationTable(t, p, records) },
		"families":   func(string) string { return familyTable(t, p, records) },
	} {
		place := regexp.MustCompile(`(?s)<!-- begin ` + name + ` -->\n(.*?)<!-- end ` + name + ` -->\n`)
		found := place.FindAllStringSubmatch(text, -1)
		if len(found) != 1 {
			t.Fatalf("%s has %d places for the table %s", docFile, len(found), name)
		}
		text = strings.Replace(text, found[0][0], "<!-- begin "+name+" -->\n"+table(found[0][1])+"<!-- end "+name+" -->\n", 1)
	}
	if *update && text != old && !t.Failed() {
		if err := os.WriteFile(docFile, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if !*update && !sameButRounding(text, old) {
		t.Errorf("a table of %s is out of date: go test ./predictor -run TestDocs -update (after one that updates imagenet.json)", docFile)
	}

	rest := strings.ReplaceAll(regexp.MustCompile(`(?s)<!-- begin (\w+) -->.*?<!-- end \w+ -->`).ReplaceAllString(text, ""), ",", "")
	words := []string{fmt.Sprintf("%d published accuracies", len(said)), fmt.Sprintf("%d derived", len(records)-len(said))}
	for _, n := range []int{MinRecords, MaxRecords, calibrationFolds, NumFeatures} {
		words = append(words, strconv.Itoa(n))
	}
	for _, w := range words {
		if !regexp.MustCompile(`\b` + w + `\b`).MatchString(rest) {
			t.Errorf("%s does not name the %s", docFile, w)
		}
	}
}

// sameButRounding compares two texts, in which numbers with a decimal point may
// differ by one in their last place: a machine that rounds sums of products
// otherwise may turn that digit over.
func sameButRounding(a, b string) bool {
	decimal := regexp.MustCompile(`\d+\.\d+`)
	if decimal.ReplaceAllString(a, "#") != decimal.ReplaceAllString(b, "#") {
		return false
	}
	x, y := decimal.FindAllString(a, -1), decimal.FindAllString(b, -1)
	for i := range x {
		u, errU := strconv.ParseFloat(x[i], 64)
		v, errV := strconv.ParseFloat(y[i], 64)
		places := len(x[i]) - strings.Index(x[i], ".") - 1
		if errU != nil || errV != nil || math.Abs(u-v) > 1.5*math.Pow10(-places) {
			return false
		}
	}
	return true
}

func table(head ...string) *strings.Builder {
	b := new(strings.Builder)
	row(b, head...)
	b.WriteString("|" + strings.Repeat(" --- |", len(head)) + "\n")
	return b
}

func row(b *strings.Builder, cells ...string) {
	for _, c := range cells {
		b.WriteString(strings.TrimRight("| "+c, " ") + " ")
	}
	b.WriteString("|\n")
}

// featureTable keeps definition and reason of the old table. Its ranges are of
// the measured records.
func featureTable(t *testing.T, p *Predictor, old string) string {
	t.Helper()
	words := make(map[string][2]string)
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)`(?: \\*)? \\| ([^|]+) \\| ([^|]+) \\|").FindAllStringSubmatch(old, -1) {
		words[m[1]] = [2]string{m[2], m[3]}
	}
	b := table("feature", "what it is", "why it is there", "in the records", "length scale")
	for c, name := range p.Inputs() {
		w, ok := words[name]
		if !ok {
			t.Errorf("%s has no row with definition and reason of `%s`", docFile, name)
		}
		delete(words, name)
		low, high := math.Inf(1), math.Inf(-1)
		for _, r := range p.rows {
			if !r.Derived {
				low, high = min(low, r.Inputs[c]), max(high, r.Inputs[c])
			}
		}
		span := fmt.Sprintf("%.2f to %.2f", low, high)
		if high < 1 && low > 0 {
			span = fmt.Sprintf("%.2g to %.2g", low, high)
		}
		if strings.HasPrefix(name, "log_") {
			span = count(math.Exp(low)) + " to " + count(math.Exp(high))
		}
		if p.layout.columns[c].slope >= 0 {
			name = "`" + name + "` *"
		} else {
			name = "`" + name + "`"
		}
		length := "none"
		if at := p.layout.columns[c].length; at >= 0 {
			length = strconv.FormatFloat(p.model.state().GP.Length[at], 'f', -1, 64)
		}
		row(b, name, w[0], w[1], span, length)
	}
	for name := range words {
		t.Errorf("%s has a row for `%s`, which is no input", docFile, name)
	}
	return b.String()
}

// count writes a number for reading, with a suffix from 10,000 on.
func count(v float64) string {
	switch {
	case v >= 0.9995e9:
		return strconv.FormatFloat(v/1e9, 'f', 1, 64) + "G"
	case v >= 0.9995e6:
		return strconv.FormatFloat(v/1e6, 'f', 1, 64) + "M"
	case v >= 1e4:
		return strconv.FormatFloat(v/1e3, 'f', 0, 64) + "k"
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

func hyperTable(t *testing.T, p *Predictor) string {
	t.Helper()
	h := p.model.state().GP
	mixed, bent := p.layout.columns[slices.Index(p.Inputs(), mixedInput)], p.layout.columns[depthInverse]
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	b := table("hyper-parameter", "what varies by it", "prior median", "of `imagenet`")
	row(b, "`level`", "the mean of all networks; fixed", "", number(h.Level))
	row(b, "`slope`", "each feature of the trend, by standard deviation of the feature", number(slopePrior.median), number(h.Slope[0]))
	row(b, "`slope` of the inverses", "`inverse_root_macs` and `inverse_depth`, likewise", number(slopePrior.median), number(h.Slope[bent.slope]))
	row(b, "`slope` of `mixed_types`", "its trend, by 1", number(mixedPrior.median), number(h.Slope[mixed.slope]))
	row(b, "`signal`", "what the features explain beyond the trend", number(signalPrior.median), number(h.Signal))
	row(b, "`task_level`", "a recipe's level", number(taskPrior.median), number(h.TaskLevel))
	row(b, "`task_signal`", "what the features do differently under a recipe", number(taskPrior.median), number(h.TaskSignal))
	row(b, "`task_length`", "over how many length scales that varies", number(taskLengthPrior.median), number(h.TaskLength))
	row(b, "`noise`", "one training from the next", number(noisePrior.median), number(h.Noise))
	row(b, "`length`", "one length scale a feature, in standard deviations of the feature", strconv.FormatFloat(lengthPrior(len(p.Inputs())).median, 'f', 1, 64), "table of features")
	row(b, "`widening`", "factor on a prediction's variance, `noise` apart", "", number(h.Widening))
	s := p.sample(nil)
	lengths, _ := hypersOf(s.columns)
	priors := s.priors()
	for i, prior := range priors {
		want := 1.
		if i >= len(priors)-lengths {
			want = 0.7
		}
		if prior.spread != want {
			t.Errorf("%s says that the logarithm of hyper-parameter %d has the prior deviation %v, it has %v", docFile, i, want, prior.spread)
		}
	}
	return b.String()
}

// sourcesInNotice names the sources of records by the name that NOTICE has for
// them. A record's source begins with the key.
var sourcesInNotice = map[string]string{
	"PaddleClas": "PaddleClas", "TensorFlow Slim": "TF-Slim", "imgclsmob": "imgclsmob", "pycls": "pycls", "torchvision": "torchvision",
	"derived from Accel-NASBench": "Accel-NASBench",
}

func sourceTable(t *testing.T, records []Record) string {
	t.Helper()
	data, err := os.ReadFile("../NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	_, notice, ok := strings.Cut(string(data), "predictor/records/imagenet.jsonl\n")
	if !ok {
		t.Fatal("NOTICE does not name the records")
	}
	notice, _, _ = strings.Cut(notice, "\n\n")
	sources := groupsOf(records, func(_ int, r *Record) string { return r.Source }, eachRow(len(records)))
	slices.SortStableFunc(sources, func(a, b []int) int { return strings.Compare(records[a[0]].Source, records[b[0]].Source) })
	b := table("source", "licence", "records", "recipes")
	for _, members := range sources {
		source := records[members[0]].Source
		licence := ""
		for prefix, name := range sourcesInNotice {
			if m := regexp.MustCompile(regexp.QuoteMeta(name) + `\s+\(([^)]+)\)`).FindStringSubmatch(notice); m != nil && strings.HasPrefix(source, prefix) {
				licence = m[1]
			}
		}
		if licence == "" {
			t.Errorf("NOTICE has no licence of the source %q", source)
		}
		var recipes []string
		for _, i := range members {
			if r := "`" + records[i].Recipe + "`"; !slices.Contains(recipes, r) {
				recipes = append(recipes, r)
			}
		}
		row(b, source, licence, countOf(pick(records, members)), strings.Join(recipes, ", "))
	}
	return b.String()
}

// countOf writes how many records there are, and which of them were not measured.
func countOf(records []Record) string {
	switch n := len(measured(records)); n {
	case len(records):
		return strconv.Itoa(n)
	case 0:
		return fmt.Sprintf("%d derived", len(records))
	default:
		return fmt.Sprintf("%d and %d derived", n, len(records)-n)
	}
}

func recipeTable(p *Predictor, records []Record) string {
	types := groupsOf(records, BlockTypes, eachRow(len(records)))
	slices.SortFunc(types, func(a, b []int) int {
		return strings.Compare(BlockTypes(0, &records[a[0]]), BlockTypes(0, &records[b[0]]))
	})
	head := []string{"recipe", "records", "top-1 %"}
	for _, members := range types {
		head = append(head, BlockTypes(0, &records[members[0]]))
	}
	b := table(head...)
	for _, recipe := range p.Recipes() {
		cells := make([]string, len(head))
		var all []Record
		low, high := 1., 0.
		for k, members := range types {
			of := 0
			for _, i := range members {
				if records[i].Recipe == recipe {
					of++
					all = append(all, records[i])
					low, high = min(low, records[i].Accuracy), max(high, records[i].Accuracy)
				}
			}
			if of > 0 {
				cells[3+k] = strconv.Itoa(of)
			}
		}
		cells[0], cells[1] = "`"+recipe+"`", countOf(all)
		cells[2] = fmt.Sprintf("%.1f to %.1f", 100*low, 100*high)
		if len(all) == 1 {
			cells[2] = fmt.Sprintf("%.1f", 100*low)
		}
		row(b, cells...)
	}
	return b.String()
}

// leftOut is what LeaveOut returns for the records of the embedded predictor,
// without training it again: TestImagenetIsReproduced has done that. None is
// repeated. Derived records leave with those of their group.
func leftOut(t *testing.T, p *Predictor, records []Record, by Grouping) []Prediction {
	t.Helper()
	closed := p.model.(closedForm)
	out := make([]Prediction, len(records))
	for _, group := range measuredOnly(records, groupsOf(records, by, eachRow(len(records)))) {
		mean, variance := make([]float64, len(group)), make([]float64, len(group))
		if err := closed.leaveOut(group, mean, variance); err != nil {
			t.Fatal(err)
		}
		for i, r := range group {
			out[r] = newPrediction(p.origin+mean[i], variance[i])
		}
	}
	return out
}

// eachRow is the rows of n records of which none is repeated.
func eachRow(n int) []int { return without(n, nil) }

// sameNetwork holds out together the records of one network, whatever its
// resolution and recipe.
func sameNetwork(_ int, r *Record) string {
	n := *r.Network
	n.Input.Resolution = 224
	key, err := NetworkKey(&n)
	if err != nil {
		panic(err) // a network that was read
	}
	return key
}

func qualityRow(t *testing.T, b *strings.Builder, predictions []Prediction, records []Record, first ...string) {
	t.Helper()
	q, err := Assess(predictions, records)
	if err != nil {
		t.Fatal(err)
	}
	tau := func(v float64) string {
		if q.N < 5 {
			return ""
		}
		return fmt.Sprintf("%.3f", v)
	}
	row(b, append(slices.Clone(first), strconv.Itoa(q.N), fmt.Sprintf("%.2f", 100*q.RMSE), fmt.Sprintf("%.2f", 100*q.MAE),
		tau(q.Kendall), tau(tauOfMACs(t, records)), fmt.Sprintf("%.0f %%", 100*q.Coverage50), fmt.Sprintf("%.0f %%", 100*q.Coverage90))...)
}

// tauOfMACs is how well MACs alone rank the records.
func tauOfMACs(t *testing.T, records []Record) float64 {
	t.Helper()
	var macs, accuracy []float64
	for i := range records {
		c, err := cost.OfNetwork(records[i].Network)
		if err != nil {
			t.Fatal(err)
		}
		macs, accuracy = append(macs, float64(c.MACs)), append(accuracy, records[i].Accuracy)
	}
	return KendallTau(macs, accuracy)
}

func validationTable(t *testing.T, p *Predictor, records []Record) string {
	t.Helper()
	b := table("left out together", "groups", "n", "RMSE", "MAE", "tau", "tau of MACs", "50 % hold", "90 % hold")
	for _, v := range []struct {
		name string
		by   Grouping
	}{
		{"each record", EachRecord},
		{"a network at all resolutions, by all recipes", sameNetwork},
		{"a block type", BlockTypes},
	} {
		predictions, comparable := Comparable(leftOut(t, p, records, v.by), records)
		groups := measuredOnly(records, groupsOf(records, v.by, eachRow(len(records))))
		qualityRow(t, b, predictions, comparable, v.name, strconv.Itoa(len(groups)))
	}
	return b.String()
}

func familyTable(t *testing.T, p *Predictor, records []Record) string {
	t.Helper()
	b := table("each record left out", "n", "RMSE", "MAE", "tau", "tau of MACs", "50 % hold", "90 % hold")
	predictions, comparable := Comparable(leftOut(t, p, records, EachRecord), records)
	for _, by := range []Grouping{BlockTypes, func(_ int, r *Record) string { return "`" + r.Recipe + "`" }} {
		groups := groupsOf(comparable, by, eachRow(len(comparable)))
		slices.SortFunc(groups, func(x, y []int) int {
			return strings.Compare(by(x[0], &comparable[x[0]]), by(y[0], &comparable[y[0]]))
		})
		for _, group := range groups {
			var ps []Prediction
			var rs []Record
			for _, i := range group {
				ps, rs = append(ps, predictions[i]), append(rs, comparable[i])
			}
			qualityRow(t, b, ps, rs, by(group[0], &rs[0]))
		}
	}
	return b.String()
}

var long = flag.Bool("long", false, "compute the figures of docs/predictors.md that take minutes")

// TestLongFigures logs the figures that the text of docs/predictors.md states.
func TestLongFigures(t *testing.T) {
	if !*long {
		t.Skip("takes minutes: go test ./predictor -run TestLongFigures -long -v")
	}
	records := imagenetRecords(t)
	for _, v := range []struct {
		name string
		by   Grouping
	}{
		{"10 folds, seed 1", Folds(10, 1)},
		{"10 folds, seed 2", Folds(10, 2)},
		{"10 folds, seed 3", Folds(10, 3)},
		{"a recipe", func(_ int, r *Record) string { return r.Recipe }},
		{"a block type", BlockTypes},
	} {
		predictions, err := CrossValidate(records, v.by, Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("anew without %s: %v", v.name, assess(t, predictions, records))
		if v.name == "a block type" {
			which := measured(records)
			logOptimism(t, pick(predictions, which), pick(records, which))
		}
	}
	_, said := Comparable(make([]Prediction, len(records)), records)
	for _, n := range []int{25, 50, 100, 150} {
		logCurve(t, said, n, 10)
	}
}

// logOptimism logs by how much the networks that a search would choose from the
// records of each recipe are predicted too high.
func logOptimism(t *testing.T, predictions []Prediction, records []Record) {
	for _, deviations := range []float64{0, 1} {
		value := func(i int) float64 { return predictions[i].Accuracy - deviations*predictions[i].SD }
		macs := make([]float64, len(records))
		for i := range records {
			c, err := cost.OfNetwork(records[i].Network)
			if err != nil {
				t.Fatal(err)
			}
			macs[i] = float64(c.MACs)
		}
		var all, chosen, n, above float64
		for i := range records {
			dominated := false
			for j := range records {
				dominated = dominated || records[j].Recipe == records[i].Recipe && macs[j] <= macs[i] && value(j) > value(i)
			}
			optimism := predictions[i].Accuracy - records[i].Accuracy
			all += optimism / float64(len(records))
			if !dominated {
				n++
				chosen += optimism
				if value(i) > records[i].Accuracy {
					above++
				}
			}
		}
		t.Logf("mean less %v deviations: %v of %d records are on the fronts of their recipes; mean predicted less measured %.2f points, of all %.2f; what was compared is above the measured one in %v",
			deviations, n, len(records), 100*chosen/n, 100*all, above)
	}
}

// logCurve logs the mean quality on the rest of training on n of the records,
// drawn at random. Recipes that were not drawn stay out.
func logCurve(t *testing.T, records []Record, n, draws int) {
	var rmse, tau, coverage float64
	for d := range draws {
		var train, rest []Record
		known := make(map[string]bool)
		order := rand.New(rand.NewPCG(1, uint64(d))).Perm(len(records))
		for _, i := range order[:n] {
			train = append(train, records[i])
			known[records[i].Recipe] = true
		}
		p, err := Train(train, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var predictions []Prediction
		for _, i := range order[n:] {
			if !known[records[i].Recipe] {
				continue
			}
			y, err := p.Predict(records[i].Network, Training{Recipe: records[i].Recipe})
			if err != nil {
				t.Fatal(err)
			}
			rest, predictions = append(rest, records[i]), append(predictions, y)
		}
		q, err := Assess(predictions, rest)
		if err != nil {
			t.Fatal(err)
		}
		rmse, tau, coverage = rmse+q.RMSE/float64(draws), tau+q.Kendall/float64(draws), coverage+q.Coverage90/float64(draws)
	}
	t.Logf("trained on %d: RMSE %.2f points, tau %.3f, 90 %% intervals cover %.0f %%; means of %d draws", n, 100*rmse, tau, 100*coverage, draws)
}
