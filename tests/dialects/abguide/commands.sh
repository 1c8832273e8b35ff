# The document's commands, word for word; each below its name.

## quick start: register version 1
curl -X POST "http://localhost:8000/registry/models" \
  -H "X-API-Key: your-api-key" \
  -H "Content-Type: application/json" \
  -d '{
    "version": "v1.0.0",
    "name": "Production Model",
    "model_path": "models/credit_model_v1.pkl",
    "preprocessor_path": "models/preprocessor_v1.pkl",
    "description": "Current production model",
    "metrics": {
      "accuracy": 0.8542,
      "brier_score": 0.1256
    },
    "tags": ["production", "baseline"]
  }'

## quick start: register version 2
curl -X POST "http://localhost:8000/registry/models" \
  -H "X-API-Key: your-api-key" \
  -H "Content-Type": application/json" \
  -d '{
    "version": "v1.1.0",
    "name": "Experimental Model",
    "model_path": "models/credit_model_v1_1.pkl",
    "preprocessor_path": "models/preprocessor_v1_1.pkl",
    "description": "New model with improved calibration",
    "metrics": {
      "accuracy": 0.8601,
      "brier_score": 0.1104
    },
    "tags": ["testing", "improved-calibration"]
  }'

## quick start: load
curl -X POST "http://localhost:8000/registry/models/v1.0.0/load" \
  -H "X-API-Key: your-api-key"

curl -X POST "http://localhost:8000/registry/models/v1.1.0/load" \
  -H "X-API-Key: your-api-key"

## quick start: weights
curl -X POST "http://localhost:8000/registry/ab-test/weights" \
  -H "X-API-Key: your-api-key" \
  -H "Content-Type: application/json" \
  -d '{
    "v1.0.0": 0.8,
    "v1.1.0": 0.2
  }'

## quick start: current weights
curl "http://localhost:8000/registry/ab-test/weights" \
  -H "X-API-Key: your-api-key"

## quick start: compare
curl "http://localhost:8000/registry/ab-test/compare/v1.0.0/v1.1.0" \
  -H "X-API-Key: your-api-key"

## listing: all
curl "http://localhost:8000/registry/models" \
  -H "X-API-Key: your-api-key"

## listing: by status
curl "http://localhost:8000/registry/models?status=active" \
  -H "X-API-Key: your-api-key"

## metadata
curl "http://localhost:8000/registry/models/v1.0.0" \
  -H "X-API-Key: your-api-key"

## rollout: 5 percent
curl -X POST "http://localhost:8000/registry/ab-test/weights" \
  -H "X-API-Key: your-api-key" \
  -H "Content-Type: application/json" \
  -d '{"v1.0.0": 0.95, "v1.1.0": 0.05}'

## rollout: 20 percent
curl -X POST "http://localhost:8000/registry/ab-test/weights" \
  -H "X-API-Key: your-api-key" \
  -H "Content-Type: application/json" \
  -d '{"v1.0.0": 0.80, "v1.1.0": 0.20}'

## rollout: even
curl -X POST "http://localhost:8000/registry/ab-test/weights" \
  -H "X-API-Key: your-api-key" \
  -H "Content-Type: application/json" \
  -d '{"v1.0.0": 0.50, "v1.1.0": 0.50}'

## rollout: 80 percent
curl -X POST "http://localhost:8000/registry/ab-test/weights" \
  -H "X-API-Key: your-api-key" \
  -H "Content-Type: application/json" \
  -d '{"v1.0.0": 0.20, "v1.1.0": 0.80}'

## rollout: full
curl -X POST "http://localhost:8000/registry/ab-test/weights" \
  -H "X-API-Key: your-api-key" \
  -H "Content-Type: application/json" \
  -d '{"v1.1.0": 1.0}'

## rollback
curl -X POST "http://localhost:8000/registry/ab-test/weights" \
  -H "X-API-Key: your-api-key" \
  -H "Content-Type: application/json" \
  -d '{"v1.0.0": 1.0}'

## canary: register
curl -X POST "http://localhost:8000/registry/models" \
  -H "X-API-Key: your-api-key" \
  -H "Content-Type: application/json" \
  -d '{
    "version": "v1.2.0-canary",
    "name": "Canary Test",
    "model_path": "models/credit_model_v1_2.pkl",
    "tags": ["canary"]
  }'

## canary: load
curl -X POST "http://localhost:8000/registry/models/v1.2.0-canary/load" \
  -H "X-API-Key: your-api-key"

## canary: 10 percent
curl -X POST "http://localhost:8000/registry/ab-test/weights" \
  -H "X-API-Key: your-api-key" \
  -H "Content-Type: application/json" \
  -d '{"v1.0.0": 0.90, "v1.2.0-canary": 0.10}'

## canary: increase
curl -X POST "http://localhost:8000/registry/ab-test/weights" \
  -H "X-API-Key: your-api-key" \
  -H "Content-Type: application/json" \
  -d '{"v1.0.0": 0.50, "v1.2.0-canary": 0.50}'

## canary: rollback
curl -X POST "http://localhost:8000/registry/ab-test/weights" \
  -H "X-API-Key: your-api-key" \
  -H "Content-Type: application/json" \
  -d '{"v1.0.0": 1.0}'

## champion: equal weights
curl -X POST "http://localhost:8000/registry/ab-test/weights" \
  -H "X-API-Key: your-api-key" \
  -H "Content-Type: application/json" \
  -d '{"champion-v1.0": 0.50, "challenger-v2.0": 0.50}'

## champion: compare
curl "http://localhost:8000/registry/ab-test/compare/champion-v1.0/challenger-v2.0" \
  -H "X-API-Key: your-api-key"

## three versions: weights
curl -X POST "http://localhost:8000/registry/ab-test/weights" \
  -H "X-API-Key: your-api-key" \
  -H "Content-Type: application/json" \
  -d '{
    "v1.0.0-baseline": 0.70,
    "v1.1.0-calibrated": 0.15,
    "v1.2.0-fairness": 0.15
  }'

## troubleshooting: weights
curl -X POST "http://localhost:8000/registry/ab-test/weights" \
  -H "X-API-Key: your-api-key" \
  -H "Content-Type: application/json" \
  -d '{"v1.0.0": 0.80, "v1.1.0": 0.20}'  # 0.80 + 0.20 = 1.0
