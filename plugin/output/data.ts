// Values for programs: JSON and YAML.
import { printable } from './printable.ts';

/** DEL and the eight-bit control characters, which JSON itself leaves as they are. */
const eightBit = /[\u007f-\u009f]/g;

export type DataFormat = 'json' | 'yaml';

export function isDataFormat(format: string): format is DataFormat {
  return format === 'json' || format === 'yaml';
}

export async function encodeData(value: unknown, format: DataFormat): Promise<string> {
  if (format === 'json') {
    const text = JSON.stringify(value, null, 4);
    return `${text.replace(eightBit, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`;
  }
  const { stringify } = await import('yaml');
  return printable(stringify(value, { lineWidth: 0 }));
}
