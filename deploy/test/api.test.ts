import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

import { all, core, list, one, shown } from './kit';

const ROOT = join(__dirname, '../../..');
const OPENAPI = JSON.parse(readFileSync(join(ROOT, 'control/config/openapi.json'), 'utf8'));

test('the API asks for a token everywhere but where it says how to ask, as its document has it', () => {
  const routes = [...all('AWS::ApiGatewayV2::Route').values()];
  const [authorizer] = one('AWS::ApiGatewayV2::Authorizer', 'Api');
  const open = [];
  for (const route of routes) {
    if (route['AuthorizationType'] === 'NONE') {
      open.push(route['RouteKey']);
    } else {
      assert.equal(route['AuthorizationType'], 'JWT', route['RouteKey']);
      assert.equal(shown(route['AuthorizerId']), `{${authorizer}}`);
    }
  }
  const documented = Object.entries<Record<string, { security?: unknown[] }>>(OPENAPI.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, operation]) => operation.security?.length === 0)
      .map(([method]) => `${method.toUpperCase()} ${path}`),
  );
  assert.ok(documented.length > 0);
  assert.deepEqual(open.sort(), documented.sort());
  assert.deepEqual(
    routes.filter((route) => route['AuthorizationType'] === 'JWT').map((route) => route['RouteKey']),
    ['ANY /v1/{proxy+}'],
  );
});

test('its tokens are of the issuer and for the audience that the parameters name', () => {
  const tokens = one('AWS::ApiGatewayV2::Authorizer', 'Api')[1];
  assert.deepEqual(tokens['JwtConfiguration'], { Audience: [{ Ref: 'TokenAudience' }], Issuer: { Ref: 'TokenIssuer' } });
  assert.deepEqual(tokens['IdentitySource'], ['$request.header.Authorization']);
  core.hasParameter('CursorKey', { NoEcho: true });
});

test('it says who asked, and takes no more than it can', () => {
  const stage = one('AWS::ApiGatewayV2::Stage', 'Api')[1];
  assert.match(shown(stage['AccessLogSettings'].DestinationArn), /^\{ApiLog/);
  assert.ok(stage['DefaultRouteSettings'].ThrottlingRateLimit > 0 && stage['DefaultRouteSettings'].ThrottlingBurstLimit > 0);
});

test('its function has every variable that it reads, and reaches tenants, routes and facts only', () => {
  const made = one('AWS::Lambda::Function', 'FunctionsConfigFunction')[1];
  const settings = readFileSync(join(ROOT, 'control/config/src/settings.rs'), 'utf8');
  const read = new Set([...settings.slice(0, settings.indexOf('#[cfg(test)]')).matchAll(/"(EFT_\w+)"/g)].map((found) => found[1]));
  assert.deepEqual(Object.keys(made['Environment'].Variables).sort(), [...read].sort());
  assert.ok(made['Timeout'] < 30, 'the API does not wait longer');
  const statements = one('AWS::IAM::Policy', 'FunctionsConfigPolicy')[1]['PolicyDocument'].Statement as { Action: string | string[]; Resource: unknown }[];
  const actions = new Set(statements.flatMap((statement) => list(statement.Action)));
  assert.deepEqual([...actions].sort(), ['dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:Query', 'logs:CreateLogStream', 'logs:PutLogEvents']);
  const tables = statements.flatMap((statement) => list(statement.Resource)).map((resource) => JSON.stringify(resource));
  assert.ok(!tables.some((resource) => /-(jobs|runs)/.test(resource)), 'no job is in its reach');
});
