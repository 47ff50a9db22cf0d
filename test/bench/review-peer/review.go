// One AdmissionReview in, the answer out.
package main

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
)

type object = map[string]any

type resource struct{ Group, Version, Resource, Kind string }

type request struct {
	UID         string   `json:"uid"`
	Kind        resource `json:"kind"`
	Resource    resource `json:"resource"`
	SubResource string   `json:"subResource"`
	Operation   string   `json:"operation"`
	Object      object   `json:"object"`
	OldObject   object   `json:"oldObject"`
}

type review struct {
	APIVersion string    `json:"apiVersion"`
	Kind       string    `json:"kind"`
	Request    *request  `json:"request,omitempty"`
	Response   *response `json:"response,omitempty"`
}

type response struct {
	UID       string   `json:"uid"`
	Allowed   bool     `json:"allowed"`
	PatchType string   `json:"patchType,omitempty"`
	Patch     []byte   `json:"patch,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
	Status    *status  `json:"status,omitempty"`
}

type cause struct {
	Reason  string `json:"reason"`
	Field   string `json:"field"`
	Message string `json:"message"`
}

type details struct {
	Name   string  `json:"name"`
	Group  string  `json:"group"`
	Kind   string  `json:"kind"`
	Causes []cause `json:"causes"`
}

type status struct {
	Status  string  `json:"status"`
	Code    int     `json:"code"`
	Reason  string  `json:"reason"`
	Message string  `json:"message"`
	Details details `json:"details"`
}

func (r *review) answer(validator *schema, mutate bool) (*review, error) {
	if r.APIVersion != "admission.k8s.io/v1" || r.Kind != "AdmissionReview" || r.Request == nil {
		return nil, errors.New("only admission.k8s.io/v1 AdmissionReview is understood")
	}
	q := r.Request
	if q.UID == "" || len(q.UID) > 256 || q.Resource.Group != "dbbackup.io" || q.Kind.Kind != "DatabaseBackup" {
		return nil, errors.New("not a review of a DatabaseBackup")
	}
	answer := q.decide(validator, mutate)
	answer.UID = q.UID
	return &review{APIVersion: r.APIVersion, Kind: r.Kind, Response: answer}, nil
}

func (q *request) decide(validator *schema, mutate bool) *response {
	if q.SubResource == "status" || q.Operation == "DELETE" {
		return &response{Allowed: true}
	}
	if reflect.DeepEqual(q.Object["spec"], q.OldObject["spec"]) {
		return &response{Allowed: true}
	}
	cluster := ""
	if mutate {
		cluster = missingCluster(q.Object, q.OldObject)
		if cluster != "" {
			q.Object["spec"].(object)["database"].(object)["cluster"] = cluster
		}
	}
	found := validator.validate(q.Object, "", nil)
	found = append(found, rules(q.Object, q.OldObject)...)
	answer := judge(q.Object, found, mutate)
	if answer.Allowed && cluster != "" {
		patch := []object{{"op": "add", "path": "/spec/database/cluster", "value": cluster}}
		answer.PatchType = "JSONPatch"
		answer.Patch, _ = json.Marshal(patch)
	}
	return answer
}

func judge(next object, found []finding, mutate bool) *response {
	answer := &response{Allowed: true}
	var lines []string
	var causes []cause
	named := map[string]bool{}
	for _, f := range found {
		if f.warning {
			if mutate {
				answer.Warnings = append(answer.Warnings, f.sentence())
			}
			continue
		}
		if named[f.field] {
			continue
		}
		named[f.field] = true
		lines = append(lines, f.sentence())
		causes = append(causes, cause{"FieldValueInvalid", f.field, f.text()})
	}
	if len(causes) > 0 {
		answer.Allowed = false
		about := details{text(at(next, "metadata", "name")), "dbbackup.io", "DatabaseBackup", causes}
		answer.Status = &status{"Failure", 422, "Invalid", strings.Join(lines, "\n"), about}
	}
	return answer
}

func missingCluster(next, old object) string {
	database, ok := at(next, "spec", "database").(object)
	if !ok || database["cluster"] != nil {
		return ""
	}
	if cluster := text(at(old, "spec", "database", "cluster")); cluster != "" {
		return cluster
	}
	host := text(database["host"])
	label, _, _ := strings.Cut(strings.ToLower(host), ".")
	if clusterName.MatchString(label) && !address.MatchString(host) && len(label) <= 48 {
		return label
	}
	return strings.ReplaceAll(text(at(next, "metadata", "name")), ".", "-")
}
