// All inputs to one report: each object judged, then all of them seen together, in the order of the inputs.

import { storageOf } from '../../crds/rules/place.ts';
import type { Position, Unreadable } from './documents.ts';
import type { Placed, Report } from './finding.ts';
import { judge } from './judge.ts';
import { type FoundObject, objectsOf } from './objects.ts';
import type { Place, Sources } from './sources.ts';
import { type Seen, together } from './together.ts';

export class Examination {
  readonly #now: Date;
  readonly #files = new Map<string, number>();
  readonly #seen: Seen[] = [];
  readonly #findings: Placed[] = [];
  #objects = 0;
  #passedOver = 0;

  /** @param now for the rules that look ahead */
  constructor(now: Date) {
    this.#now = now;
  }

  /** @param content UTF-8, with or without a byte order mark */
  file(file: string, content: Buffer | 'too large'): void {
    const text = content === 'too large' ? undefined : decoded(content);
    if (text !== undefined) this.text(file, text);
    else if (content === 'too large') this.refuse(file, 'is larger than 64 MiB', 'split it');
    else this.refuse(file, 'is not UTF-8 text', 'save it as UTF-8, or leave it out');
  }

  /** @param sources where the objects of a rendered text come from */
  text(file: string, text: string, sources?: Sources): void {
    this.#start(file);
    for (const found of objectsOf(text)) {
      if (found === 'foreign') this.#passedOver += 1;
      else if ('at' in found) this.#unreadable(file, found);
      else this.#object(file, found, sources);
    }
  }

  /** For what is wrong with a file as a whole. */
  refuse(file: string, message: string, fix: string): void {
    this.#start(file);
    this.#unreadable(file, { at: { line: 1, column: 1 }, message, fix });
  }

  report(): Report {
    const order = ({ file }: Placed): number => this.#files.get(file) ?? 0;
    const findings = [...this.#findings, ...together(this.#seen)].sort(
      (a, b) => order(a) - order(b) || a.line - b.line || a.column - b.column,
    );
    return { objects: this.#objects, passedOver: this.#passedOver, findings };
  }

  #start(file: string): void {
    if (!this.#files.has(file)) this.#files.set(file, this.#files.size);
  }

  #unreadable(file: string, { at, message, fix }: Unreadable): void {
    const nobody = { field: '', kind: '', namespace: '', name: '' };
    this.#findings.push({ rule: 'unreadable', file, ...at, ...nobody, severity: 'error', message, fix });
  }

  #object(file: string, object: FoundObject, sources: Sources | undefined): void {
    this.#objects += 1;
    const { kind, namespace, name, value, findings, positionOf } = object;
    const whose = { kind, namespace, name };
    const placed = (field: string, own: Position): Place => sources?.place(object, field) ?? { file, ...own };
    for (const finding of findings) this.#add({ ...finding, ...whose, ...placed(finding.field, finding) });
    if (value === undefined) return;
    const named = new Set(findings.filter(({ rule }) => rule === 'kind').map(({ field }) => field));
    for (const finding of judge(value, this.#now)) {
      const { field } = finding;
      if (!named.has(field)) this.#add({ ...finding, ...whose, ...placed(field, positionOf(field)) });
    }
    const nameAt = placed('metadata.name', positionOf('metadata.name'));
    const storageAt = placed('spec.storage', positionOf('spec.storage'));
    this.#seen.push({ ...whose, storage: storageOf(value), nameAt, storageAt });
  }

  #add(finding: Placed): void {
    this.#start(finding.file);
    this.#findings.push(finding);
  }
}

function decoded(content: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content);
  } catch {
    return undefined;
  }
}
