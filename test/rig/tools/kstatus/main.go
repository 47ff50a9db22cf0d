// Prints what kstatus, the library Flux decides health with, says of Kubernetes objects: one object as a line of JSON in, one answer out.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type answer struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	if err := answerAll(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "kstatus: %v\n", err)
		os.Exit(1)
	}
}

func answerAll(in io.Reader, out io.Writer) error {
	objects, answers := json.NewDecoder(in), json.NewEncoder(out)
	for line := 1; ; line++ {
		var raw json.RawMessage
		if err := objects.Decode(&raw); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read object %d: %w", line, err)
		}
		// Not straight into a map: kstatus reads whole numbers only, and encoding/json makes floats of them.
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(raw); err != nil {
			return fmt.Errorf("read object %d: %w", line, err)
		}
		result, err := status.Compute(object)
		if err != nil {
			return fmt.Errorf("compute the status of object %d: %w", line, err)
		}
		if err := answers.Encode(answer{result.Status.String(), result.Message}); err != nil {
			return err
		}
	}
}
