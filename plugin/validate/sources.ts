// For a rendered kustomization: the file of the user's own in which a field stands, so that a finding leads to where it can be mended.
import { readFile } from 'node:fs/promises';
import type { Position } from './documents.ts';
import { walk } from './inputs.ts';
import { type FoundObject, objectsOf } from './objects.ts';

export interface Place extends Position {
  file: string;
}

/** Larger files are generated, and nobody mends them. */
const maxBytes = 1024 * 1024;

interface Source {
  file: string;
  object: FoundObject;
}

export class Sources {
  readonly #byName = new Map<string, Source[]>();

  add(file: string, text: string): void {
    for (const object of objectsOf(text)) {
      if (object === 'foreign' || 'at' in object) continue;
      const key = `${object.kind}/${object.name}`;
      this.#byName.set(key, [...(this.#byName.get(key) ?? []), { file, object }]);
    }
  }

  /**
   * Where the field of a rendered object was written; undefined where a transformer or another folder made it.
   * Of a field that is not there, the one source that could have it.
   */
  place({ kind, name, textOf }: FoundObject, field: string): Place | undefined {
    const sources = this.#byName.get(`${kind}/${name}`) ?? [];
    const text = textOf(field);
    // A patch stands beside its base under the same name: the later file that says what was rendered is as good as any.
    const alike = sources.filter(({ object }) => object.textOf(field) === text);
    const found = text === undefined && sources.length > 1 ? undefined : alike.at(-1);
    return found === undefined ? undefined : { file: found.file, ...found.object.positionOf(field) };
  }
}

/** Reads what can be read below the folder. What cannot is no obstacle: the rendering has been judged. */
export async function sourcesBelow(folder: string): Promise<Sources> {
  const sources = new Sources();
  const files: string[] = [];
  await walk(folder, files).catch(() => {});
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (text.length <= maxBytes) sources.add(file, text);
  }
  return sources;
}
