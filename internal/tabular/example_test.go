package tabular_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/efficientnas/nas/arch"
	"github.com/efficientnas/nas/internal/tabular"
)

// Rows whose networks are the same become one.
func Example() {
	t, err := arch.ParseTemplate("space.yaml", []byte(`
input: {resolution: 32}
stem: {width: 8}
stages:
  - {block: [identity, {block: inverted, expansion: 3}], width: 8}
  - {block: [identity, {block: inverted, expansion: 3}], width: 8}
head: {classes: 10}
`))
	if err != nil {
		log.Fatal(err)
	}
	plan, err := t.Compile()
	if err != nil {
		log.Fatal(err)
	}

	dir, err := os.MkdirTemp("", "tabular")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "table.csv")
	if err := os.WriteFile(path, []byte(`arch,real_arch,acc1,acc2,acc3,mean_acc,params,macs
00,00,40.1,40.2,40.3,40.2,322,221264
01,10,50.1,50.2,50.3,50.2,1034,835664
10,10,50.1,50.2,50.3,50.2,1034,835664
11,11,60.1,60.2,60.3,60.2,1746,1450064
`), 0o666); err != nil {
		log.Fatal(err)
	}

	table, err := tabular.Read(path, plan)
	if err != nil {
		log.Print(err)
		return
	}
	fmt.Println(table.Name, table.Dataset)
	for _, row := range table.Rows {
		fmt.Println(row.Key, row.Genes, row.Network.Summary(), row.Accuracy, row.MACs, row.Params)
	}
	// Output:
	// nas_bench_macro cifar10
	// 00 [0 0] identity 8, identity 8 0.402 221264 322
	// 10 [1 0] inverted 8, identity 8 0.502 835664 1034
	// 11 [1 1] inverted 8, inverted 8 0.602 1450064 1746
}
