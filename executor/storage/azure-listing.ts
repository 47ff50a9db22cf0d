// Reads Azure's answer to a listing. Its XML has no attributes that matter but one, no CDATA, and texts in which < and & are always
// escaped: so a tag that is found is a tag.
import type { StoredObject } from './storage.ts';

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function plain(text: string): string {
  return text.replace(/&(?:#(\d+)|#x([0-9a-fA-F]+)|(\w+));/g, (whole, decimal, hex, name) => {
    if (name !== undefined) return entities[name] ?? whole;
    return String.fromCodePoint(decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal));
  });
}

function textOf(xml: string, tag: string): string {
  return plain(new RegExp(`<${tag}(?: [^>]*)?>([^<]*)</${tag}>`).exec(xml)?.[1] ?? '');
}

/** Names that XML cannot hold come percent-encoded and say so. */
function nameOf(blob: string): string {
  const name = textOf(blob, 'Name');
  return /<Name Encoded="true">/.test(blob) ? decodeURIComponent(name) : name;
}

export interface Page {
  objects: StoredObject[];
  /** Where the next page begins; empty at the end. */
  next: string;
}

export function decodeListing(xml: string): Page {
  const objects = [...xml.matchAll(/<Blob>([\s\S]*?)<\/Blob>/g)].map(([, blob = '']) => ({
    key: nameOf(blob),
    size: Number(textOf(blob, 'Content-Length')),
    modifiedAt: new Date(textOf(blob, 'Last-Modified')),
  }));
  return { objects, next: textOf(xml, 'NextMarker') };
}
