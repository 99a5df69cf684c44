BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'one');
INSERT INTO "studies" VALUES(2,'two');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MINIMIZE',1,0);
INSERT INTO "study_directions" VALUES(2,'MINIMIZE',2,0);
INSERT INTO "study_directions" VALUES(3,'MAXIMIZE',2,1);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,4,1,1.0266030035164250625e-02,'FINITE');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'lr',1.78264971513869487258e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}');
INSERT INTO "trial_params" VALUES(2,1,'model.depth',7.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO "trial_params" VALUES(3,1,'act',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh", null]}}');
INSERT INTO "trial_params" VALUES(4,2,'lr',1.89241239657222655532e-04,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}');
INSERT INTO "trial_params" VALUES(5,2,'model.depth',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO "trial_params" VALUES(6,2,'act',2.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh", null]}}');
INSERT INTO "trial_params" VALUES(7,3,'lr',1.80960398187708258396e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}');
INSERT INTO "trial_params" VALUES(8,3,'model.depth',7.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO "trial_params" VALUES(9,3,'act',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh", null]}}');
INSERT INTO "trial_params" VALUES(10,4,'lr',1.0266030035164250625e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}');
INSERT INTO "trial_params" VALUES(11,4,'model.depth',5.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO "trial_params" VALUES(12,4,'act',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh", null]}}');
INSERT INTO "trial_params" VALUES(13,5,'lr',2.52483909361710147367e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}');
INSERT INTO "trial_params" VALUES(14,5,'model.depth',9.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO "trial_params" VALUES(15,5,'act',2.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh", null]}}');
INSERT INTO "trial_params" VALUES(16,6,'lr',4.82858621855446618065e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}');
INSERT INTO "trial_params" VALUES(17,6,'model.depth',1.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO "trial_params" VALUES(18,6,'act',2.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh", null]}}');
INSERT INTO "trial_params" VALUES(19,7,'lr',0.05,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 0.1, "log": true}}');
INSERT INTO "trial_params" VALUES(20,7,'model.depth',3.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 2, "low": 1, "high": 9}}');
INSERT INTO "trial_params" VALUES(21,7,'act',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["relu", "tanh", null]}}');
INSERT INTO "trial_params" VALUES(22,9,'x',4.35994902142003759593e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(23,10,'x',2.59262318278913328484e-02,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
INSERT INTO "trial_params" VALUES(24,11,'x',5.49662477878709143652e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 1.0, "log": false}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_system_attributes" VALUES(1,8,'fixed_params','{"lr": 0.01}');
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,7.00178264971513897307e+00,'FINITE');
INSERT INTO "trial_values" VALUES(2,2,0,1.00018924123965713413e+00,'FINITE');
INSERT INTO "trial_values" VALUES(3,3,0,7.00180960398187668403e+00,'FINITE');
INSERT INTO "trial_values" VALUES(4,4,0,1.0266030035164250625e-02,'FINITE');
INSERT INTO "trial_values" VALUES(5,6,0,1.04828586218554464792e+00,'FINITE');
INSERT INTO "trial_values" VALUES(6,7,0,3.05,'FINITE');
INSERT INTO "trial_values" VALUES(7,9,0,4.35994902142003759593e-01,'FINITE');
INSERT INTO "trial_values" VALUES(8,9,1,8.71989804284007519186e-01,'FINITE');
INSERT INTO "trial_values" VALUES(9,10,0,2.59262318278913328484e-02,'FINITE');
INSERT INTO "trial_values" VALUES(10,10,1,5.18524636557826656968e-02,'FINITE');
INSERT INTO "trial_values" VALUES(11,11,0,5.49662477878709143652e-01,'FINITE');
INSERT INTO "trial_values" VALUES(12,11,1,1.0993249557574182873e+00,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-25 18:17:08.082504','2026-11-25 18:17:08.235074');
INSERT INTO "trials" VALUES(2,1,1,'COMPLETE','2026-11-25 18:17:08.275451','2026-11-25 18:17:08.405854');
INSERT INTO "trials" VALUES(3,2,1,'COMPLETE','2026-11-25 18:17:08.440948','2026-11-25 18:17:08.554890');
INSERT INTO "trials" VALUES(4,3,1,'PRUNED','2026-11-25 18:17:08.592903','2026-11-25 18:17:08.735576');
INSERT INTO "trials" VALUES(5,4,1,'FAIL','2026-11-25 18:17:08.780525','2026-11-25 18:17:08.890760');
INSERT INTO "trials" VALUES(6,5,1,'COMPLETE','2026-11-25 18:17:08.923700','2026-11-25 18:17:09.034819');
INSERT INTO "trials" VALUES(7,6,1,'COMPLETE','2026-11-25 18:17:09.079949','2026-11-25 18:17:09.079949');
INSERT INTO "trials" VALUES(8,7,1,'WAITING',NULL,NULL);
INSERT INTO "trials" VALUES(9,0,2,'COMPLETE','2026-11-25 18:17:09.241193','2026-11-25 18:17:09.325571');
INSERT INTO "trials" VALUES(10,1,2,'COMPLETE','2026-11-25 18:17:09.379343','2026-11-25 18:17:09.447457');
INSERT INTO "trials" VALUES(11,2,2,'COMPLETE','2026-11-25 18:17:09.480807','2026-11-25 18:17:09.539452');
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;
