// Reads JSON documents, one a line, as Go programs read manifests (or configs, with an argument), and
// writes what they see.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"
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

type step struct {
	Created    *time.Time `json:"created"`
	CreatedBy  string     `json:"created_by"`
	Author     string     `json:"author"`
	Comment    string     `json:"comment"`
	EmptyLayer bool       `json:"empty_layer"`
}

type container struct {
	User         string
	WorkingDir   string
	StopSignal   string
	Env          []string
	Entrypoint   []string
	Cmd          []string
	Shell        []string
	OnBuild      []string
	Labels       map[string]string
	ExposedPorts map[string]struct{}
	Volumes      map[string]struct{}
}

type rootFS struct {
	DiffIDs []string `json:"diff_ids"`
}

type config struct {
	Created      *time.Time `json:"created"`
	Author       string     `json:"author"`
	Architecture string     `json:"architecture"`
	Variant      string     `json:"variant"`
	OS           string     `json:"os"`
	OSVersion    string     `json:"os.version"`
	Config       container  `json:"config"`
	RootFS       rootFS     `json:"rootfs"`
	History      []step     `json:"history"`
	// Of the dates: seconds since 1970, and nanoseconds.
	Times [][]int64 `json:"-"`
}

// Read decodes a document; a config is given with its dates as numbers, that of the config first.
func read(data []byte, isConfig bool) (any, error) {
	if !isConfig {
		var found document
		err := json.Unmarshal(data, &found)
		return found, err
	}
	var found config
	err := json.Unmarshal(data, &found)
	dates := []*time.Time{found.Created}
	for i := range found.History {
		dates = append(dates, found.History[i].Created)
	}
	for _, date := range dates {
		if date == nil {
			found.Times = append(found.Times, nil)
		} else {
			found.Times = append(found.Times, []int64{date.Unix(), int64(date.Nanosecond())})
		}
	}
	return []any{found, found.Times}, err
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		found, err := read(lines.Bytes(), len(os.Args) > 1)
		if err != nil {
			fmt.Println("null")
			continue
		}
		text, _ := json.Marshal(found)
		fmt.Println(string(text))
	}
}
