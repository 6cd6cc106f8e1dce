"use strict";

// Adds a Custom::ServiceVersion for each entry of `custom.serviceVersions`. The framework gives each
// function version a logical id with a hash in it, which serverless.yml cannot refer to.

class ServiceVersion {
  constructor(serverless) {
    this.serverless = serverless;
    this.hooks = { "before:package:finalize": () => this.addResources() };
  }

  addResources() {
    const { service } = this.serverless;
    const { Resources: resources } = service.provider.compiledCloudFormationTemplate;
    const naming = this.serverless.getProvider("aws").naming;
    for (const [name, properties] of Object.entries(service.custom.serviceVersions)) {
      const lambda = naming.getLambdaLogicalId(name);
      const version = Object.keys(resources).find(
        (id) =>
          resources[id].Type === "AWS::Lambda::Version" &&
          resources[id].Properties.FunctionName.Ref === lambda,
      );
      if (!version) throw new Error(`${name} has no function version: set versionFunctions`);
      resources[`${lambda}Published`] = {
        Type: "Custom::ServiceVersion",
        Properties: { ServiceToken: { Ref: "Publisher" }, ...properties, Arn: { Ref: version } },
      };
    }
  }
}

module.exports = ServiceVersion;
