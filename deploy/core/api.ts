import { RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import * as apigateway from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpJwtAuthorizer } from 'aws-cdk-lib/aws-apigatewayv2-authorizers';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';

import type { Parameters } from './parameters';

/** Requests a second of all callers together, and how many may come at once: reasonable defaults, far below what Lambda takes. */
const RATE = 200;
const BURST = 400;

/** Who answers what. */
export interface Functions {
  /** Everything that is not the other's. */
  readonly config: lambda.IFunction;
  readonly status: lambda.IFunction;
}

/** The paths of the status API (`control/status/src/table.rs`). Which of them there are is its own business. */
const STATUS = ['/v1/jobs', '/v1/jobs/{proxy+}', '/v1/arrivals', '/v1/fleet', '/v1/dead-letters/{proxy+}', '/v1/status/{proxy+}'];

/** What may be read without a token: it says how to ask, and nothing of anybody. */
const OPEN = { config: ['/v1/openapi.json', '/v1/problems/{code}'], status: ['/v1/status/openapi.json'] };

/** The HTTP API. Which paths there are is the functions' business; the API holds who may ask, and how often. */
export class Api extends Construct {
  readonly url: string;

  constructor(scope: Construct, id: string, parameters: Parameters, functions: Functions) {
    super(scope, id);
    const authorizer = new HttpJwtAuthorizer('Tokens', parameters.tokenIssuer, { jwtAudience: [parameters.tokenAudience] });
    const api = new apigateway.HttpApi(this, 'Http', {
      apiName: `${parameters.prefix}-api`,
      description: 'EFT: routes, tenants and jobs',
      createDefaultStage: false,
      defaultAuthorizer: authorizer,
    });
    const config = new HttpLambdaIntegration('Config', functions.config);
    const status = new HttpLambdaIntegration('Status', functions.status);
    const methods = [apigateway.HttpMethod.ANY];
    api.addRoutes({ path: '/v1/{proxy+}', methods, integration: config });
    for (const path of STATUS) {
      api.addRoutes({ path, methods, integration: status });
    }
    const open = [...OPEN.config.map((path) => ({ path, integration: config })), ...OPEN.status.map((path) => ({ path, integration: status }))];
    for (const { path, integration } of open) {
      const authorizer = new apigateway.HttpNoneAuthorizer();
      for (const route of api.addRoutes({ path, methods: [apigateway.HttpMethod.GET], integration, authorizer })) {
        Validations.of(route).acknowledge({ id: 'AwsSolutions::AwsSolutions-APIG4', reason: 'it says how to ask, and nothing of anybody' });
      }
    }
    const log = new logs.LogGroup(this, 'Log', { retention: logs.RetentionDays.THREE_MONTHS, removalPolicy: RemovalPolicy.RETAIN });
    const stage = new apigateway.HttpStage(this, 'Stage', {
      httpApi: api,
      stageName: '$default',
      autoDeploy: true,
      throttle: { rateLimit: RATE, burstLimit: BURST },
      accessLogSettings: { destination: new apigateway.LogGroupLogDestination(log) },
    });
    this.url = Stack.of(this).resolve(stage.url) as string;
  }
}
