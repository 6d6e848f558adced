package studydb_test

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/efficientnas/nas/internal/studydb"
)

func Example() {
	dir, err := os.MkdirTemp("", "study")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "study.db")

	w, err := studydb.Create(path, studydb.Study{Name: "digits", Config: "name: digits\n", Seed: 1})
	if err != nil {
		log.Fatal(err)
	}
	// The search proposes, and the state that it will go on from is stored with that.
	network := json.RawMessage(`{"stages": []}`)
	err = w.Save(studydb.Checkpoint{
		State: []byte("of the search"),
		Queue: []studydb.Proposal{{ID: 0, Key: "a", Architecture: network}, {ID: 1, Key: "b", Architecture: network}},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Start("here", 0, 1); err != nil {
		log.Fatal(err)
	}
	for _, accuracy := range []float64{0.71, 0.71, 0.72} { // delivered twice, and then measured again
		verdicts, err := w.Finish(studydb.Result{Trial: 0, Accuracy: accuracy})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(accuracy, verdicts[0])
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	r, err := studydb.OpenRead(path)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	trials, err := r.Trials()
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range trials {
		fmt.Println(t.ID, t.State, t.Result.Accuracy)
	}
	// Output:
	// 0.71 accepted
	// 0.71 repeated
	// 0.72 late
	// 0 done 0.71
	// 1 running 0
}
