// Reads JSON documents, one a line, as Go programs read manifests, and writes what they see.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant"`
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	URLs        []string          `json:"urls"`
	Annotations map[string]string `json:"annotations"`
	Platform    *platform         `json:"platform"`
}

type document struct {
	MediaType string       `json:"mediaType"`
	Config    descriptor   `json:"config"`
	Layers    []descriptor `json:"layers"`
	Manifests []descriptor `json:"manifests"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var found document
		if err := json.Unmarshal(lines.Bytes(), &found); err != nil {
			fmt.Println("null")
			continue
		}
		text, _ := json.Marshal(found)
		fmt.Println(string(text))
	}
}
