// What the API server itself demands of an object's metadata, before any of our rules: a name, and texts where texts belong.
import type { Finding } from '../../crds/rules/validate.ts';

const part = '[a-z0-9]([a-z0-9-]*[a-z0-9])?';
const subdomain = new RegExp(`^${part}(\\.${part})*$`);
const label = new RegExp(`^${part}$`);
const qualified = /^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$/;
/** Of all keys and values together. */
const maxAnnotationBytes = 256 * 1024;

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function error(field: string, value: unknown, message: string, fix: string): Finding {
  const shown = JSON.stringify(value)?.slice(0, 80);
  return { field, ...(shown === undefined ? {} : { value: shown }), severity: 'error', message, fix };
}

/** @param object decoded JSON; one without metadata is left to the rules */
export function metadataFindings(object: unknown): Finding[] {
  const metadata = isMap(object) ? object['metadata'] : undefined;
  if (!isMap(metadata)) return [];
  return [
    ...nameFindings(metadata),
    ...namespaceFindings(metadata['namespace']),
    ...texts('metadata.labels', metadata['labels'], true),
    ...texts('metadata.annotations', metadata['annotations'], false),
    ...annotationSize(metadata['annotations']),
  ];
}

/** null is absent to the API server, as everywhere. */
function nameFindings({ name, generateName }: Record<string, unknown>): Finding[] {
  const fix = 'use lower-case letters, digits, - and ., for example orders';
  if (name === undefined || name === null || name === '')
    return typeof generateName === 'string' && generateName !== ''
      ? []
      : [error('metadata.name', undefined, 'is required', 'give it a name, for example that of its database')];
  if (typeof name !== 'string') return [error('metadata.name', name, 'is not a text', 'put it in quotes')];
  return subdomain.test(name.slice(0, 300)) ? [] : [error('metadata.name', name, 'is not a DNS name', fix)];
}

function namespaceFindings(namespace: unknown): Finding[] {
  if (namespace === undefined || namespace === null || namespace === '') return [];
  const field = 'metadata.namespace';
  if (typeof namespace !== 'string') return [error(field, namespace, 'is not a text', 'put it in quotes')];
  if (namespace.length <= 63 && label.test(namespace)) return [];
  return [error(field, namespace, 'is not the name of a namespace', 'use at most 63 lower-case letters, digits and -')];
}

function texts(field: string, given: unknown, areLabels: boolean): Finding[] {
  if (given === undefined || given === null) return [];
  if (!isMap(given)) return [error(field, given, 'is not a map of texts', 'write name: value below it')];
  return Object.entries(given).flatMap(([key, value]) => {
    const at = `${field}[${key.slice(0, 320)}]`;
    // The API server takes an annotation's key in any case, and a label's in lower case only.
    if (!isKey(areLabels ? key : key.toLowerCase()))
      return [error(field, key, 'is no valid key', 'use letters, digits, -, _ and ., at most 63')];
    if (value !== null && typeof value !== 'string') return [error(at, value, 'is not a text', 'put it in quotes')];
    const isFine = !areLabels || value === null || value === '' || (value.length <= 63 && qualified.test(value));
    return isFine ? [] : [error(at, value, 'is no valid label', 'use letters, digits, -, _ and ., at most 63')];
  });
}

/** `name` or `prefix.example/name`. */
function isKey(key: string): boolean {
  const [name = '', prefix, ...rest] = key.split('/').reverse();
  const isPrefix = prefix === undefined || (prefix.length <= 253 && subdomain.test(prefix));
  return rest.length === 0 && isPrefix && name.length <= 63 && qualified.test(name);
}

function annotationSize(given: unknown): Finding[] {
  if (!isMap(given)) return [];
  // What is no text is named already, and may not even be made one.
  const texts = Object.entries(given)
    .flat()
    .filter((text) => typeof text === 'string');
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (bytes <= maxAnnotationBytes) return [];
  return [error('metadata.annotations', undefined, 'are larger than 256 KiB together', 'keep large texts elsewhere')];
}
