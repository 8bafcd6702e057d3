import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { Template } from 'aws-cdk-lib/assertions';

export type Properties = Record<string, any>;

const golden = (stack: string): Template => Template.fromString(readFileSync(join(__dirname, `../../golden/${stack}.template.json`), 'utf8'));

/** The templates that are committed: `scripts/golden.ts` holds them to what the stacks make. */
export const core = golden('core');
export const edge = golden('edge');

/** The properties of all resources of a type, by their logical ids. */
export function all(type: string, template = core): Map<string, Properties> {
  return new Map(Object.entries(template.findResources(type)).map(([id, resource]) => [id, resource['Properties'] as Properties]));
}

/** The one resource of a type whose logical id starts so. */
export function one(type: string, start: string, template = core): [string, Properties] {
  const found = [...all(type, template)].filter(([id]) => id.startsWith(start));
  if (found.length !== 1) {
    throw new Error(`${found.length} resources of ${type} start with ${start}`);
  }
  return found[0]!;
}

/** A text with references in it, with `{Name}` for each. */
export function shown(value: unknown): string {
  if (typeof value !== 'object' || value === null) {
    return String(value);
  }
  const [[kind, what]] = Object.entries(value) as [[string, unknown]];
  switch (kind) {
    case 'Ref':
      return `{${what as string}}`;
    case 'Fn::GetAtt':
      return `{${(what as string[]).join('.')}}`;
    case 'Fn::Join':
      return (what as [string, unknown[]])[1].map(shown).join((what as [string, unknown[]])[0]);
    default:
      throw new Error(`no text: ${JSON.stringify(value)}`);
  }
}

/** What is one or a list, as a list. */
export const list = <T>(value: T | T[]): T[] => (Array.isArray(value) ? value : [value]);
